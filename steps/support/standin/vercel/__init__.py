"""Vercel, as far as the tool asks it: a local fake with the real payloads, served over HTTP."""

"""The part of Vercel that the tool uses, as a local fake with real payloads, served over HTTP."""

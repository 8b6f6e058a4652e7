"""The part of Vercel that the tool uses: a local fake with the real payloads, served over HTTP."""

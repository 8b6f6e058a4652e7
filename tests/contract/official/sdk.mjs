// Calls the official SDK: one call a line on stdin ({"call": "projectsGetProject", "asked": {...}}), one answer a
// line on stdout ({"value": ...} as the SDK understood it, or {"error": ..., "status": ..., "message": ...}).
// A call is one of the SDK's standalone functions: all of it at once takes seconds to load.
// Arguments: the folder of the SDK's modules, the server's URL, the token.
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [folder, serverURL, bearerToken] = process.argv.slice(2);
const load = (name) => import(new URL(name, pathToFileURL(`${folder}/`)).href);
const { VercelCore } = await load("core.js");
const vercel = new VercelCore({ bearerToken, serverURL, retryConfig: { strategy: "none" } });

for await (const line of createInterface({ input: process.stdin })) {
  const { call, asked } = JSON.parse(line);
  const { [call]: ask } = await load(`funcs/${call}.js`);
  const { ok, value, error } = await ask(vercel, asked);
  const message = () => String(error.pretty?.() ?? error.message);
  const answer = ok ? { value: value ?? null } : { error: error.name, status: error.statusCode ?? null, message: message() };
  process.stdout.write(JSON.stringify(answer) + "\n");
}

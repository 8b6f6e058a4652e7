// Calls the official SDK: one call a line on stdin ({"call": "deployments.getDeployment", "asked": {...}}), one
// answer a line on stdout ({"value": ...} as the SDK understood it, or {"error": ..., "message": ...}).
// Arguments: the SDK's entry file, the server's URL, the token.
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [entry, serverURL, bearerToken] = process.argv.slice(2);
const { Vercel } = await import(pathToFileURL(entry).href);
const vercel = new Vercel({ bearerToken, serverURL, retryConfig: { strategy: "none" } });

for await (const line of createInterface({ input: process.stdin })) {
  const { call, asked } = JSON.parse(line);
  const [part, name] = call.split(".");
  let answer;
  try {
    answer = { value: (await vercel[part][name](asked)) ?? null };
  } catch (error) {
    answer = { error: error.name, status: error.statusCode ?? null, message: String(error.pretty?.() ?? error.message) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}

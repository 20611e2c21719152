import { startWorker } from "@gantry/local/workerd.ts";
import { startScriptedRunner } from "./scripted-runner.ts";

/** The product without engines, in a process of its own. Reports its address by IPC. */

const [state = "", key = ""] = process.argv.slice(2);
const runnerPort = await startScriptedRunner();
const worker = await startWorker({
  host: "127.0.0.1",
  port: 0,
  state,
  bindings: {
    GANTRY_API_KEY: key,
    RUNNER_URL: `http://127.0.0.1:${runnerPort}`,
    RUNNER_TOKEN: "bench",
    MODELS_URL: "http://127.0.0.1:1",
    SANDBOX_LEVEL: "none",
  },
  onLog: () => null,
  onRestart: () => process.exit(1),
});
process.on("SIGTERM", () => void worker.stop().then(() => process.exit(0)));
process.send?.(`http://127.0.0.1:${worker.url.port}`);

import type { Engine } from "../engine/agent.ts";

/** How long an interrupted engine may take to say so before its input is closed, and then before it is killed. */
const INTERRUPT_GRACE_MS = 1_500;
const CLOSE_GRACE_MS = 2_500;

/** Stops what an engine does, whatever it takes: asks, closes its input, then has everything killed. */
export function stopTurn(
  engine: Pick<Engine, "interrupt" | "close">,
  run: {
    readonly isOver: () => boolean;
    readonly kill: () => void;
    readonly log: (event: string, details: Record<string, unknown>) => void;
  },
): void {
  engine.interrupt().catch((error: unknown) => run.log("interrupt_failed", { error: String(error) }));
  setTimeout(() => {
    if (run.isOver()) return;
    run.log("interrupt_escalated", { step: "close" });
    engine.close();
    setTimeout(() => {
      if (run.isOver()) return;
      run.log("interrupt_escalated", { step: "kill" });
      run.kill();
    }, CLOSE_GRACE_MS);
  }, INTERRUPT_GRACE_MS);
}

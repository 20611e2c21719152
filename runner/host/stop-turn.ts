import { after } from "../base/guarded.ts";
import type { Engine } from "../engine/agent.ts";

/** How long an interrupted engine may take before its input is closed, and how much longer before it is killed. */
const INTERRUPT_GRACE_MS = 1_500;
const CLOSE_GRACE_MS = 2_500;

/** Stops the engine's turn: interrupts it, then closes its input, then has it killed. */
export function stopTurn(
  engine: Pick<Engine, "interrupt" | "close">,
  run: {
    readonly isOver: () => boolean;
    readonly kill: () => void;
    readonly log: (event: string, details: Record<string, unknown>) => void;
  },
): void {
  engine.interrupt().catch((error: unknown) => run.log("interrupt_failed", { error: String(error) }));
  after("interrupt", INTERRUPT_GRACE_MS, () => {
    if (run.isOver()) return;
    run.log("interrupt_escalated", { step: "close" });
    after("interrupt", CLOSE_GRACE_MS, () => {
      if (run.isOver()) return;
      run.log("interrupt_escalated", { step: "kill" });
      run.kill();
    });
    engine.close();
  });
}

/** A rule taken out of the product. A suite that does not notice proves nothing. */
export interface Mutation {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** What the product is run with so that the rule matters. */
  readonly env: Readonly<Record<string, string>>;
}

export const MUTATIONS: readonly Mutation[] = [
  {
    name: "fencing: frames of a run that is not in progress are taken",
    file: "worker/session/drive/frames.ts",
    from: "if (frame.runId !== null && frame.runId !== run?.id) {",
    to: "if (Math.random() < 0) {",
    // A runner has to be out of reach for a minute before its run is given up.
    env: { LONGEST: "85000", ONLY: "freeze runner" },
  },
  {
    name: "fencing: a frame that is stored is stored again",
    file: "worker/session/drive/decide.ts",
    from: 'if (frame <= stored) return "repeat";',
    to: 'if (frame <= stored) return "store";',
    env: {},
  },
  {
    name: "acknowledgement: frames are never acknowledged",
    file: "worker/session/drive/handover.ts",
    from: 'this.#link.send({ type: "ack", frame });',
    to: "void frame;",
    env: {},
  },
  {
    name: "order: a frame is acknowledged, and then stored",
    file: "worker/session/link/runner-link.ts",
    from: "this.#on.onReport(message);",
    to: 'if (message.type !== "frame") return this.#on.onReport(message);\n          this.#link?.send({ type: "ack", frame: message.frame });\n          setTimeout(() => this.#on.onReport(message), 400);',
    env: { ONLY: "kill workerd" },
  },
  {
    name: "at most once: a run that was sent to a runner that is gone is sent again",
    file: "worker/session/drive/decide.ts",
    from: 'return "lost";\n}',
    to: 'return "send";\n}',
    env: { ONLY: "kill runner" },
  },
  {
    name: "at most once: whom an answer was told is not noted",
    file: "worker/session/store/approvals.ts",
    from: '"UPDATE waiting SET sent_to = ? WHERE run_id = ? AND answer IS NOT NULL", runnerId, runId',
    to: '"SELECT ?, ?", runnerId, runId',
    env: { ONLY: "kill runner" },
  },
];

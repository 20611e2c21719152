import type { SDKUserMessage } from "@anthropic-ai/claude-agent-sdk";

/** The engine's input: an iterable that yields each prompt when it is pushed, until it is ended. */
export class PromptInput implements AsyncIterable<SDKUserMessage> {
  #waiting: SDKUserMessage[] = [];
  #wake: (() => void) | null = null;
  #ended = false;

  push(message: SDKUserMessage): void {
    this.#waiting.push(message);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<SDKUserMessage, void> {
    for (;;) {
      const next = this.#waiting.shift();
      if (next) yield next;
      else if (this.#ended) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

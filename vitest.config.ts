import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // Two projects: what runs in this process, and user stories on the started product.
    projects: [
      {
        test: {
          name: "unit",
          include: ["{protocol,router,runner,worker,local,bench}/**/*.test.ts"],
          testTimeout: 30_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "e2e",
          include: ["e2e/**/*.test.ts"],
          globalSetup: ["e2e/build.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          // Each file starts the whole product and engines of its own: more at once only make all slow.
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});

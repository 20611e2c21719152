/**
 * The way out for addresses that users name (repositories): public ones alone, judged when the connection is made. By
 * itself the runtime reaches everything that this machine does.
 */
export const PUBLIC_NET = {
  network: { allow: ["public"], deny: [], tlsOptions: { trustBrowserCas: true } },
};

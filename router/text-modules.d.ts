/** Text modules: see `rules` in wrangler.jsonc. */
declare module "*.yaml" {
  const text: string;
  export default text;
}

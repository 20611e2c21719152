/** `default` is the path of the workerd binary for this platform. */
declare module "workerd" {
  const workerd: { default: string };
  export default workerd;
}

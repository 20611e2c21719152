// `npm run secrets`: prints random values for the secrets of a deployment.
import { randomBytes } from "node:crypto";

process.stdout.write(`GANTRY_API_KEY=gk_${randomBytes(32).toString("base64url")}
GANTRY_ENCRYPTION_KEY=${new Date().toISOString().slice(0, 10)}:${randomBytes(32).toString("base64")}
`);

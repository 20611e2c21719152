// `npm run secrets`: prints new values for the secrets of a deployment that nobody but chance should choose.
import { randomBytes } from "node:crypto";

process.stdout.write(`GANTRY_API_KEY=gk_${randomBytes(32).toString("base64url")}
GANTRY_ENCRYPTION_KEY=${new Date().toISOString().slice(0, 10)}:${randomBytes(32).toString("base64")}
`);

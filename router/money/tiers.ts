/** Tiers of service that cost more than the list price: a faster model, a place ahead of others, a region. */
import type { MessagesRequest } from "../request/messages-request.ts";
import type { Deployment } from "../routes/deployment.ts";

/** What `speed: "fast"` costs at the most, as a multiple of the list price. */
const FAST = 6;
/** The same for `service_tier: "priority"` and for tiers that are not known here. */
const PRIORITY = 2;
/** The same for `inference_geo`. */
const REGION = 1.1;

/** Tiers at or below the list price. */
const USUAL_TIERS = new Set(["auto", "default", "standard", "standard_only", "flex", "batch"]);

/** The multiple of the list price that a call may cost, by what the caller and the route ask for. Errs upwards. */
export function tierFactor(request: MessagesRequest, { params }: Deployment): number {
  const asked = (name: string): unknown => params.extraBody[name] ?? request.valueOf(name) ?? params.defaults[name];
  const isSet = (value: unknown): boolean => value !== undefined && value !== null;
  const speed = asked("speed");
  const tier = asked("service_tier");
  const region = asked("inference_geo");
  return (
    (isSet(speed) && speed !== "standard" ? FAST : 1) *
    (isSet(tier) && !USUAL_TIERS.has(String(tier)) ? PRIORITY : 1) *
    (isSet(region) && region !== "global" ? REGION : 1)
  );
}

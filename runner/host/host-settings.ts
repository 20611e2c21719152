import type { Admission } from "./admission.ts";

/** What the host of a session is given. */
export interface HostSettings {
  readonly sessionId: string;
  readonly runnerId: string;
  /** Folder of all sessions' folders, or of this one; see `rootsOf`. */
  readonly root: string;
  readonly workspace?: string;
  /** Certificates that the engine and its programs trust instead of the system's. */
  readonly caFile?: string;
  /** Prefix of the marker that all processes of this runner's state folder carry. */
  readonly markerPrefix: string;
  /** PATH of the engine and its programs. */
  readonly path: string;
  /** An engine without a run is stopped after this time. */
  readonly idleMs: number;
  /** Decides when an engine may start. */
  readonly admission: Admission;
  /** Token that an engine shows to the router when it was started before its session existed. */
  readonly engineToken?: string;
  readonly log: (entry: Record<string, unknown>) => void;
}

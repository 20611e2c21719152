import * as A from "@gantry/protocol/api/answers.ts";
import type { z } from "zod";
import type { RouteName } from "./routes.ts";

/** The successful answers of a route: status → content type → schema. Null stands for bytes or a stream. */
export interface Answer {
  readonly [status: number]: Readonly<Record<string, z.ZodType | null>>;
}

const JSON_TYPE = "application/json";
const json = (schema: z.ZodType): Answer => ({ 200: { [JSON_TYPE]: schema } });
const LOG: Answer = {
  200: { "text/event-stream": null, "application/x-ndjson": A.EventAnswer, [JSON_TYPE]: A.EventPage },
};
const STORY: Answer = {
  200: {
    "text/plain": A.StoryLine,
    "text/event-stream": null,
    "application/x-ndjson": A.StoryLine,
    [JSON_TYPE]: A.RunResult,
  },
  202: { [JSON_TYPE]: A.RunStatus },
};
const SOCKET: Answer = { 101: {} };

/** Answers by route, for the OpenAPI document. A route that is missing here answers with some JSON object. */
export const ANSWERS: Readonly<Partial<Record<RouteName, Answer>>> = {
  "GET /": json(A.Welcome),
  "GET /health": { 200: { [JSON_TYPE]: A.Health }, 503: { [JSON_TYPE]: A.Health } },
  "GET /openapi.json": json(A.OpenApiDocument),
  "GET /docs": { 200: { "text/html": null } },
  "POST /claude-code": STORY,
  "GET /claude-code/:sessionId/:runId": STORY,
  "GET /demo/ws/:sessionId": SOCKET,
  "POST /agent/message": json(A.MessageProcessed),
  "POST /query": json(A.QueryAnswer),
  "POST /container/process": json(A.Processed),
  "GET /container/health": json(A.Health),
  "GET /debug": json(A.Setup),
  "GET /claude-code/debug": json(A.Setup),
  "POST /v1/messages": { 200: { [JSON_TYPE]: A.MessageAnswer, "text/event-stream": null } },
  "POST /v1/messages/count_tokens": json(A.TokenCount),
  "POST /v1/chat/completions": { 200: { [JSON_TYPE]: A.ChatCompletion, "text/event-stream": null } },
  "GET /v1/models": json(A.ModelList),
  "GET /v1/models/:id{.+}": json(A.ModelAnswer),
  "GET /v1/usage": json(A.UsageAnswer),
  "GET /v1/approvals": json(A.Approvals),
  "POST /v1/sessions": json(A.SessionAnswer),
  "GET /v1/sessions": json(A.SessionPage),
  "GET /v1/sessions/:id": json(A.SessionAnswer),
  "POST /v1/sessions/:id": json(A.SessionAnswer),
  "DELETE /v1/sessions/:id": json(A.Deleted),
  "POST /v1/sessions/:id/archive": json(A.SessionAnswer),
  "GET /v1/sessions/:id/sandbox": json(A.SandboxAnswer),
  "GET /v1/sessions/:id/files/:path{.+}": { 200: { "application/octet-stream": null } },
  "GET /v1/sessions/:id/archive": { 200: { "application/zip": null } },
  "GET /v1/sessions/:id/runs": json(A.RunPage),
  "GET /v1/sessions/:id/runs/:run": { 200: { [JSON_TYPE]: A.RunAnswer }, 202: { [JSON_TYPE]: A.RunAnswer } },
  "POST /v1/sessions/:id/runs/:run/cancel": json(A.CancelledRun),
  "POST /v1/sessions/:id/events": {
    200: { [JSON_TYPE]: A.SentEvents, "text/event-stream": null, "application/x-ndjson": A.EventAnswer },
    202: { [JSON_TYPE]: A.SentEvents },
  },
  "GET /v1/sessions/:id/events": json(A.EventPage),
  "GET /v1/sessions/:id/events/stream": LOG,
  "GET /v1/sessions/:id/events/ws": SOCKET,
  "GET /v1/sessions/:id/threads": json(A.ThreadPage),
  "GET /v1/sessions/:id/threads/:thread": json(A.ThreadAnswer),
  "POST /v1/sessions/:id/threads/:thread/archive": json(A.ThreadAnswer),
  "GET /v1/sessions/:id/threads/:thread/events": json(A.EventPage),
  "GET /v1/sessions/:id/threads/:thread/stream": LOG,
  "POST /v1/agents": json(A.AgentAnswer),
  "GET /v1/agents": json(A.AgentPage),
  "GET /v1/agents/:id": json(A.AgentAnswer),
  "POST /v1/agents/:id": json(A.AgentAnswer),
  "GET /v1/agents/:id/versions": json(A.AgentPage),
  "POST /v1/agents/:id/archive": json(A.AgentAnswer),
  "POST /v1/environments": json(A.EnvironmentAnswer),
  "GET /v1/environments": json(A.EnvironmentPage),
  "GET /v1/environments/:id": json(A.EnvironmentAnswer),
  "POST /v1/environments/:id": json(A.EnvironmentAnswer),
  "DELETE /v1/environments/:id": json(A.Deleted),
  "POST /v1/environments/:id/archive": json(A.EnvironmentAnswer),
  "GET /v1/environments/:id/work": json(A.WorkPage),
  "GET /v1/environments/:id/work/poll": json(A.WorkAnswer.nullable()),
  "GET /v1/environments/:id/work/stats": json(A.WorkStats),
  "GET /v1/environments/:id/work/:work": json(A.WorkAnswer),
  "POST /v1/environments/:id/work/:work": json(A.WorkAnswer),
  "POST /v1/environments/:id/work/:work/ack": json(A.WorkAnswer),
  "POST /v1/environments/:id/work/:work/heartbeat": json(A.WorkHeartbeat),
  "POST /v1/environments/:id/work/:work/stop": json(A.WorkAnswer),
  "POST /v1/files": json(A.FileAnswer),
  "GET /v1/files": json(A.FilePage),
  "GET /v1/files/:id": json(A.FileAnswer),
  "GET /v1/files/:id/content": { 200: { "application/octet-stream": null } },
  "DELETE /v1/files/:id": json(A.Deleted),
  "POST /v1/keys": json(A.KeyAnswer),
  "GET /v1/keys": json(A.KeyPage),
  "GET /v1/keys/:id": json(A.KeyAnswer),
  "DELETE /v1/keys/:id": json(A.Deleted),
  "GET /v1/audit": json(A.AuditPage),
};

import { RequestRefused } from "@gantry/protocol/error.ts";
import { newId } from "@gantry/protocol/ids.ts";
import { Hono } from "hono";
import { report } from "../log.ts";
import { listApprovals } from "./approvals.ts";
import {
  archiveAgentDoor,
  createAgentDoor,
  listAgentVersionsDoor,
  listAgentsDoor,
  retrieveAgent,
  updateAgentDoor,
} from "./agents.ts";
import { discardBody } from "./body.ts";
import { claudeCode } from "./claude-code.ts";
import type { App } from "./context.ts";
import {
  archiveEnvironmentDoor,
  createEnvironmentDoor,
  deleteEnvironmentDoor,
  listEnvironmentsDoor,
  retrieveEnvironment,
  updateEnvironmentDoor,
} from "./environments.ts";
import { errorResponse } from "./errors.ts";
import { listEvents, sendEvents, streamEvents } from "./events.ts";
import { deleteFileDoor, downloadFile, listFilesDoor, retrieveFile, uploadFile } from "./files.ts";
import { authenticate, checkHost } from "./guard.ts";
import { createKeyDoor, listAuditDoor, listKeysDoor, retrieveKey, revokeKeyDoor } from "./keys.ts";
import {
  archiveSession,
  createSession,
  deleteSession,
  listSessions,
  retrieveSession,
  updateSession,
} from "./managed-sessions.ts";
import { listModelsDoor, retrieveModel } from "./models.ts";
import { authenticateEngine, chatCompletions, countTokens, messages } from "./messages.ts";
import { health, root } from "./root.ts";
import { cancelRun, listRuns } from "./runs.ts";
import { listUsage } from "./usage.ts";
import { agentMessage, debug, demoSocket, query } from "./seed-doors.ts";

/** All doors, and what every request passes on its way to one. */
export function createApp(): Hono<App> {
  const app = new Hono<App>();

  app.use(async (c, next) => {
    const requestId = newId("request");
    const started = Date.now();
    c.set("requestId", requestId);
    await next();
    if (c.res.status >= 400) await discardBody(c.req.raw);
    if (!c.res.headers.has("request-id")) c.header("request-id", requestId);
    c.header("x-request-id", requestId);
    report({
      event: "request",
      requestId,
      method: c.req.method,
      path: c.req.path,
      status: c.res.status,
      ms: Date.now() - started,
    });
  });
  app.use(checkHost);
  app.use("/v1/messages/*", authenticateEngine);
  app.use(authenticate);

  app.get("/", root);
  app.get("/health", health);
  app.post("/claude-code", claudeCode);
  app.get("/demo/ws/:sessionId", demoSocket);
  app.post("/agent/message", agentMessage);
  app.post("/query", query);
  app.get("/debug", debug);
  app.get("/claude-code/debug", debug);
  app.post("/v1/messages", messages);
  app.post("/v1/messages/count_tokens", countTokens);
  app.post("/v1/chat/completions", chatCompletions);
  app.get("/v1/usage", listUsage);
  app.get("/v1/approvals", listApprovals);
  app.post("/v1/sessions", createSession);
  app.get("/v1/sessions", listSessions);
  app.get("/v1/sessions/:id", retrieveSession);
  app.post("/v1/sessions/:id", updateSession);
  app.delete("/v1/sessions/:id", deleteSession);
  app.post("/v1/sessions/:id/archive", archiveSession);
  app.get("/v1/sessions/:id/runs", listRuns);
  app.post("/v1/sessions/:id/runs/:run/cancel", cancelRun);
  app.post("/v1/sessions/:id/events", sendEvents);
  app.get("/v1/sessions/:id/events", listEvents);
  app.get("/v1/sessions/:id/events/stream", streamEvents);

  app.get("/v1/models", listModelsDoor);
  app.get("/v1/models/:id{.+}", retrieveModel);
  app.post("/v1/agents", createAgentDoor);
  app.get("/v1/agents", listAgentsDoor);
  app.get("/v1/agents/:id", retrieveAgent);
  app.post("/v1/agents/:id", updateAgentDoor);
  app.get("/v1/agents/:id/versions", listAgentVersionsDoor);
  app.post("/v1/agents/:id/archive", archiveAgentDoor);
  app.post("/v1/environments", createEnvironmentDoor);
  app.get("/v1/environments", listEnvironmentsDoor);
  app.get("/v1/environments/:id", retrieveEnvironment);
  app.post("/v1/environments/:id", updateEnvironmentDoor);
  app.delete("/v1/environments/:id", deleteEnvironmentDoor);
  app.post("/v1/environments/:id/archive", archiveEnvironmentDoor);
  app.post("/v1/files", uploadFile);
  app.get("/v1/files", listFilesDoor);
  app.get("/v1/files/:id", retrieveFile);
  app.get("/v1/files/:id/content", downloadFile);
  app.delete("/v1/files/:id", deleteFileDoor);
  app.post("/v1/keys", createKeyDoor);
  app.get("/v1/keys", listKeysDoor);
  app.get("/v1/keys/:id", retrieveKey);
  app.delete("/v1/keys/:id", revokeKeyDoor);
  app.get("/v1/audit", listAuditDoor);

  app.notFound((c) => {
    const allowed = [
      ...new Set(
        app.routes.filter((route) => route.path === c.req.path && route.method !== "ALL").map((route) => route.method),
      ),
    ];
    const error =
      allowed.length > 0
        ? { code: "method_not_allowed" as const, method: c.req.method, allowed: allowed.join(", ") }
        : { code: "not_found" as const, what: `${c.req.method} ${c.req.path}` };
    return errorResponse(new RequestRefused(error), c.req.path, c.get("requestId"));
  });
  app.onError((error, c) => errorResponse(error, c.req.path, c.get("requestId")));
  return app;
}

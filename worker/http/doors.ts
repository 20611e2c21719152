import {
  archiveAgentDoor,
  createAgentDoor,
  listAgentVersionsDoor,
  listAgentsDoor,
  retrieveAgent,
  updateAgentDoor,
} from "./v1/agents.ts";
import { listApprovals } from "./v1/approvals.ts";
import { claudeCode, claudeCodeRun } from "./prompt/claude-code.ts";
import type { Door } from "./request/context.ts";
import { docsDoor, openApiDoor } from "./about/docs.ts";
import {
  archiveEnvironmentDoor,
  createEnvironmentDoor,
  deleteEnvironmentDoor,
  listEnvironmentsDoor,
  retrieveEnvironment,
  updateEnvironmentDoor,
} from "./v1/environments.ts";
import { listEvents, sendEvents } from "./v1/events.ts";
import { deleteFileDoor, downloadFile, listFilesDoor, retrieveFile, uploadFile } from "./v1/files.ts";
import { createKeyDoor, listAuditDoor, listKeysDoor, retrieveKey, revokeKeyDoor } from "./v1/keys.ts";
import {
  archiveSession,
  createSession,
  deleteSession,
  listSessions,
  retrieveSession,
  updateSession,
} from "./v1/sessions.ts";
import { chatCompletions, countTokens, messages } from "./v1/messages.ts";
import { listModelsDoor, retrieveModel } from "./v1/models.ts";
import { addResource, deleteResource, listResources, retrieveResource, updateResource } from "./v1/resources.ts";
import { health } from "./about/health.ts";
import { root } from "./about/root.ts";
import type { RouteName } from "./routes/routes.ts";
import { cancelRun, listRuns, retrieveRun } from "./v1/runs.ts";
import { retrieveSandbox } from "./about/sandboxes.ts";
import { fromSandbox } from "./from-sandbox/door.ts";
import { agentMessage } from "./prompt/agent-message.ts";
import { containerHealth, containerProcess } from "./prompt/container.ts";
import { debug } from "./prompt/debug.ts";
import { demoSocket } from "./prompt/demo-socket.ts";
import { query } from "./prompt/query.ts";
import {
  archiveTemplateDoor,
  createTemplateDoor,
  listTemplatesDoor,
  retrieveTemplate,
  updateTemplateDoor,
} from "./v1/templates.ts";
import { archiveThread, listThreads, retrieveThread } from "./v1/threads.ts";
import { eventSocket, streamEvents } from "./v1/streams.ts";
import { listUsage } from "./v1/usage.ts";
import * as work from "./v1/work.ts";
import * as vaults from "./v1/vaults.ts";
import {
  archiveWorkspace,
  deleteWorkspaceFile,
  diffWorkspace,
  forkSession,
  listSnapshots,
  listWorkspace,
  readWorkspaceFile,
  rewindSession,
  writeWorkspaceFile,
} from "./v1/workspace.ts";

/** The door that answers each route. The type makes the build fail when a route of the table has none. */
export const DOORS: Readonly<Record<RouteName, Door>> = {
  "GET /": root,
  "GET /health": health,
  "GET /openapi.json": openApiDoor,
  "GET /docs": docsDoor,
  "POST /claude-code": claudeCode,
  "GET /claude-code/:sessionId/:runId": claudeCodeRun,
  "GET /demo/ws/:sessionId": demoSocket,
  "POST /agent/message": agentMessage,
  "POST /query": query,
  "POST /container/process": containerProcess,
  "GET /container/health": containerHealth,
  "GET /debug": debug,
  "GET /claude-code/debug": debug,
  "POST /v1/messages": messages,
  "POST /v1/messages/count_tokens": countTokens,
  "POST /v1/chat/completions": chatCompletions,
  "GET /v1/models": listModelsDoor,
  "GET /v1/models/:id{.+}": retrieveModel,
  "GET /v1/usage": listUsage,
  "GET /v1/approvals": listApprovals,
  "POST /v1/sessions": createSession,
  "GET /v1/sessions": listSessions,
  "GET /v1/sessions/:id": retrieveSession,
  "POST /v1/sessions/:id": updateSession,
  "DELETE /v1/sessions/:id": deleteSession,
  "POST /v1/sessions/:id/archive": archiveSession,
  "POST /v1/sessions/:id/fork": forkSession,
  "POST /v1/sessions/:id/rewind": rewindSession,
  "GET /v1/sessions/:id/snapshots": listSnapshots,
  "GET /v1/sessions/:id/files": listWorkspace,
  "GET /v1/sessions/:id/files/:path{.+}": readWorkspaceFile,
  "PUT /v1/sessions/:id/files/:path{.+}": writeWorkspaceFile,
  "DELETE /v1/sessions/:id/files/:path{.+}": deleteWorkspaceFile,
  "GET /v1/sessions/:id/archive": archiveWorkspace,
  "GET /v1/sessions/:id/diff": diffWorkspace,
  "GET /v1/sessions/:id/sandbox": retrieveSandbox,
  "GET /v1/sessions/:id/runs": listRuns,
  "GET /v1/sessions/:id/runs/:run": retrieveRun,
  "POST /v1/sessions/:id/runs/:run/cancel": cancelRun,
  "POST /v1/sessions/:id/events": sendEvents,
  "GET /v1/sessions/:id/events": listEvents,
  "GET /v1/sessions/:id/events/stream": streamEvents,
  "GET /v1/sessions/:id/threads": listThreads,
  "GET /v1/sessions/:id/threads/:thread": retrieveThread,
  "POST /v1/sessions/:id/threads/:thread/archive": archiveThread,
  "GET /v1/sessions/:id/threads/:thread/events": listEvents,
  "GET /v1/sessions/:id/threads/:thread/stream": streamEvents,
  "GET /v1/sessions/:id/events/ws": eventSocket,
  "POST /v1/sessions/:id/resources": addResource,
  "GET /v1/sessions/:id/resources": listResources,
  "GET /v1/sessions/:id/resources/:resource": retrieveResource,
  "POST /v1/sessions/:id/resources/:resource": updateResource,
  "DELETE /v1/sessions/:id/resources/:resource": deleteResource,
  "GET /sandbox/files/:file": fromSandbox,
  "GET /sandbox/git/:resource/:rest{.+}": fromSandbox,
  "POST /sandbox/git/:resource/:rest{.+}": fromSandbox,
  "POST /sandbox/outputs": fromSandbox,
  "GET /sandbox/mcp/:index": fromSandbox,
  "POST /sandbox/mcp/:index": fromSandbox,
  "DELETE /sandbox/mcp/:index": fromSandbox,
  "POST /v1/vaults": vaults.createVaultDoor,
  "GET /v1/vaults": vaults.listVaultsDoor,
  "GET /v1/vaults/:id": vaults.retrieveVault,
  "POST /v1/vaults/:id": vaults.updateVaultDoor,
  "DELETE /v1/vaults/:id": vaults.deleteVaultDoor,
  "POST /v1/vaults/:id/archive": vaults.archiveVaultDoor,
  "POST /v1/vaults/:id/credentials": vaults.createCredentialDoor,
  "GET /v1/vaults/:id/credentials": vaults.listCredentialsDoor,
  "GET /v1/vaults/:id/credentials/:credential": vaults.retrieveCredential,
  "POST /v1/vaults/:id/credentials/:credential": vaults.updateCredentialDoor,
  "DELETE /v1/vaults/:id/credentials/:credential": vaults.deleteCredentialDoor,
  "POST /v1/vaults/:id/credentials/:credential/archive": vaults.archiveCredentialDoor,
  "POST /v1/vaults/:id/credentials/:credential/mcp_oauth_validate": vaults.validateCredential,
  "POST /v1/agents": createAgentDoor,
  "GET /v1/agents": listAgentsDoor,
  "GET /v1/agents/:id": retrieveAgent,
  "POST /v1/agents/:id": updateAgentDoor,
  "GET /v1/agents/:id/versions": listAgentVersionsDoor,
  "POST /v1/agents/:id/archive": archiveAgentDoor,
  "POST /v1/environments": createEnvironmentDoor,
  "GET /v1/environments": listEnvironmentsDoor,
  "GET /v1/environments/:id": retrieveEnvironment,
  "POST /v1/environments/:id": updateEnvironmentDoor,
  "DELETE /v1/environments/:id": deleteEnvironmentDoor,
  "POST /v1/environments/:id/archive": archiveEnvironmentDoor,
  "GET /v1/environments/:id/work": work.listWorkDoor,
  "GET /v1/environments/:id/work/poll": work.pollWork,
  "GET /v1/environments/:id/work/stats": work.retrieveWorkStats,
  "GET /v1/environments/:id/work/:work": work.retrieveWork,
  "POST /v1/environments/:id/work/:work": work.updateWorkDoor,
  "POST /v1/environments/:id/work/:work/ack": work.acknowledgeWorkDoor,
  "POST /v1/environments/:id/work/:work/heartbeat": work.beatDoor,
  "POST /v1/environments/:id/work/:work/stop": work.stopWorkDoor,
  "POST /v1/templates": createTemplateDoor,
  "GET /v1/templates": listTemplatesDoor,
  "GET /v1/templates/:id": retrieveTemplate,
  "POST /v1/templates/:id": updateTemplateDoor,
  "POST /v1/templates/:id/archive": archiveTemplateDoor,
  "POST /v1/files": uploadFile,
  "GET /v1/files": listFilesDoor,
  "GET /v1/files/:id": retrieveFile,
  "GET /v1/files/:id/content": downloadFile,
  "DELETE /v1/files/:id": deleteFileDoor,
  "POST /v1/keys": createKeyDoor,
  "GET /v1/keys": listKeysDoor,
  "GET /v1/keys/:id": retrieveKey,
  "DELETE /v1/keys/:id": revokeKeyDoor,
  "GET /v1/audit": listAuditDoor,
};

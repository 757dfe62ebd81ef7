import initial from './0001_initial.sql' with { type: 'text' }
import indexes from './0002_indexes.sql' with { type: 'text' }
import gateway from './0003_gateway.sql' with { type: 'text' }
import rights from './0004_rights.sql' with { type: 'text' }
import authorizationRequests from './0005_authorization_requests.sql' with { type: 'text' }
import administrators from './0006_administrators.sql' with { type: 'text' }
import upstreamAccounts from './0007_upstream_accounts.sql' with { type: 'text' }
import sessionMessages from './0008_session_messages.sql' with { type: 'text' }
import personalTokens from './0009_personal_tokens.sql' with { type: 'text' }
import administration from './0010_administration.sql' with { type: 'text' }
import eventCounts from './0011_event_counts.sql' with { type: 'text' }
import connectionSteps from './0012_connection_steps.sql' with { type: 'text' }
import passkeys from './0013_passkeys.sql' with { type: 'text' }
import toolTexts from './0014_tool_texts.sql' with { type: 'text' }
import connections from './0015_connections.sql' with { type: 'text' }
import roomForUpdates from './0016_room_for_updates.sql' with { type: 'text' }
import devicePolls from './0017_device_polls.sql' with { type: 'text' }
import servers from './0018_servers.sql' with { type: 'text' }
import auditSearch from './0019_audit_search.sql' with { type: 'text' }
import leavingUsers from './0020_leaving_users.sql' with { type: 'text' }
import grantsExpiry from './0021_grants_expiry.sql' with { type: 'text' }
import auditUsers from './0022_audit_users.sql' with { type: 'text' }

export interface Migration {
  /** The file's name without `.sql`. */
  name: string
  text: string
}

/** In order, never edited once landed: the n-th is version n of the schema. Listed by hand, so that the binary embeds them. */
export const migrations: readonly Migration[] = [
  { name: '0001_initial', text: initial },
  { name: '0002_indexes', text: indexes },
  { name: '0003_gateway', text: gateway },
  { name: '0004_rights', text: rights },
  { name: '0005_authorization_requests', text: authorizationRequests },
  { name: '0006_administrators', text: administrators },
  { name: '0007_upstream_accounts', text: upstreamAccounts },
  { name: '0008_session_messages', text: sessionMessages },
  { name: '0009_personal_tokens', text: personalTokens },
  { name: '0010_administration', text: administration },
  { name: '0011_event_counts', text: eventCounts },
  { name: '0012_connection_steps', text: connectionSteps },
  { name: '0013_passkeys', text: passkeys },
  { name: '0014_tool_texts', text: toolTexts },
  { name: '0015_connections', text: connections },
  { name: '0016_room_for_updates', text: roomForUpdates },
  { name: '0017_device_polls', text: devicePolls },
  { name: '0018_servers', text: servers },
  { name: '0019_audit_search', text: auditSearch },
  { name: '0020_leaving_users', text: leavingUsers },
  { name: '0021_grants_expiry', text: grantsExpiry },
  { name: '0022_audit_users', text: auditUsers },
]

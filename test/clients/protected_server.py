"""An MCP server of your own behind mcp-oauth-server, which issues its tokens. Needs Python 3 and requests.

Usage: ISSUER=http://localhost:3000 CLIENT_ID=... CLIENT_SECRET=... python3 protected_server.py [PORT]
"""
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

ISSUER = os.environ["ISSUER"]
PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
RESOURCE = f"http://localhost:{PORT}/mcp"  # the address that clients use; an https URL in production
METADATA = "/.well-known/oauth-protected-resource/mcp"
SCOPE = "mcp:tools:call"


def introspect(authorization):
    """Returns the claims of a bearer token (RFC 7662) if it is active, issued for this server and has the scope."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        return None
    answer = requests.post(
        f"{ISSUER}/api/oauth/introspect",
        data={"token": token},
        auth=(os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"]),
        timeout=5,
    )
    answer.raise_for_status()
    claims = answer.json()
    scopes = claims.get("scope", "").split()
    valid = claims["active"] and claims["aud"] == RESOURCE
    return claims if valid and (SCOPE in scopes or "mcp" in scopes) else None


def respond(message, claims):
    """Answers one JSON-RPC request; put your own server here."""
    method = message.get("method")
    if method == "initialize":
        version = message.get("params", {}).get("protocolVersion", "2025-11-25")
        result = {
            "protocolVersion": version,
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "protected", "version": "1"},
        }
    elif method == "tools/list":
        greet = {"name": "greet", "description": "Greets the caller", "inputSchema": {"type": "object"}}
        result = {"tools": [greet]}
    elif method == "tools/call":
        result = {"content": [{"type": "text", "text": f"Hello, {claims['sub']}"}]}
    else:
        error = {"code": -32601, "message": "Method not found"}
        return {"jsonrpc": "2.0", "id": message.get("id"), "error": error}
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != METADATA:
            return self.send(405 if self.path == "/mcp" else 404, {})
        self.send(200, {"resource": RESOURCE, "authorization_servers": [ISSUER], "scopes_supported": [SCOPE]})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        claims = introspect(self.headers.get("Authorization"))
        if claims is None:
            challenge = f'Bearer resource_metadata="http://localhost:{PORT}{METADATA}", scope="{SCOPE}"'
            return self.send(401, {"error": "invalid_token"}, {"WWW-Authenticate": challenge})
        message = json.loads(body)
        if "id" not in message:
            return self.send(202, None)
        self.send(200, respond(message, claims))

    def send(self, status, body, headers=None):
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    print(f"{RESOURCE} accepts tokens from {ISSUER}", flush=True)
    ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()

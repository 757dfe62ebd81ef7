"""Signs in to an MCP server by device code (RFC 8628) and calls a tool. Needs Python 3 and requests.

Usage: python3 device_client.py [BASE_URL [CLIENT_ID]]
"""
import json
import sys
import time

import requests

DEVICE_CODE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
SCOPE = ["mcp:tools:read", "mcp:tools:call"]


def main(base_url="http://localhost:3000", client_id=None):
    # 1. Where is everything?
    server = requests.get(f"{base_url}/api/sse", timeout=10).json()
    flow = server["auth"]["flows"]["device_authorization"]
    print(f"{server['name']} {server['version']}")

    # 2. Register, unless the operator has given us a client id (client add).
    if client_id is None:
        client_id = post(server["endpoints"]["register"], {
            "client_name": "Python example",
            "token_endpoint_auth_method": "none",
            "grant_types": [DEVICE_CODE_GRANT, "refresh_token"],
        })["client_id"]

    # 3. Request a code, and show it to the user.
    device = post(flow["deviceUrl"], {"clientId": client_id, "scope": SCOPE})
    print(f"Open {device['verification_uri_complete']}")
    print(f"and check that it shows the code {device['user_code']}", flush=True)

    # 4. Poll for the token until the user has decided.
    token = wait_for_token(flow["tokenUrl"], device)
    print(f"Signed in; the token is valid for {token['expires_in']} seconds")

    # 5. Use it.
    headers = {"Authorization": f"Bearer {token['access_token']}"}

    def call(method, **params):
        message = {"jsonrpc": "2.0", "id": 1, "method": method}
        if params:
            message["params"] = params
        return post(server["endpoints"]["mcp"], message, headers)["result"]

    print("Protocol:", call("initialize")["protocolVersion"])
    print("Tools:", ", ".join(tool["name"] for tool in call("tools/list")["tools"]))
    print("whoami:", json.dumps(call("tools/call", name="whoami", arguments={})["structuredContent"]))


def wait_for_token(url, device):
    interval = device["interval"]
    while True:
        time.sleep(interval)
        request = {"device_code": device["device_code"], "grant_type": DEVICE_CODE_GRANT}
        answer = requests.post(url, json=request, timeout=10)
        if answer.ok:
            return answer.json()
        error = answer.json()
        if error["error"] == "slow_down":
            interval += 5
        elif error["error"] != "authorization_pending":
            sys.exit(f"{error['error']}: {error['error_description']}")


def post(url, body, headers=None):
    answer = requests.post(url, json=body, headers=headers, timeout=10)
    answer.raise_for_status()
    return answer.json()


if __name__ == "__main__":
    main(*sys.argv[1:])

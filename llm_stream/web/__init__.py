"""The wires: REST, Server-Sent Events, WebSocket, page."""

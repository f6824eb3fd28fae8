"""The server side of the official admin page, @socket.io/admin-ui; `Server.admin` is its entry."""

"""Local stand-ins for what needs an account, served over HTTP on loopback."""

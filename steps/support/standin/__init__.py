"""Stand-ins: local fakes of the services that need an account, served over HTTP on loopback."""

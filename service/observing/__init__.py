"""What an operator sees of a running service: log lines, metrics and traces, without patients."""

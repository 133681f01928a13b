"""Answers for assistants (Model Context Protocol): the service's own, asked with the same token."""

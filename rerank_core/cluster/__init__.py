"""OpenSearch: connection, errors, templates, release records."""

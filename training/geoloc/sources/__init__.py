"""Where pictures come from: catalogues, services and folders."""

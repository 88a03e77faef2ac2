"""REST in, CloudEvents out: the CAMARA generation, authentication, the notifier and operations."""

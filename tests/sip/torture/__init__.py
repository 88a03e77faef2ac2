"""Hostile traffic: the torture messages of RFC 4475 and RFC 5118, mutations of them and of live dialogs."""

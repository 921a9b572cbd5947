"""Listening tests: made from sound files, served to browsers, collected, analysed."""

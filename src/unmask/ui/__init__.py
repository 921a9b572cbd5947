"""A page on this computer to separate recordings with: files are dropped, heard, downloaded."""

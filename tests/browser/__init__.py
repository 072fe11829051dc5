"""The server's page in Debian's Chromium, through real mouse, touch and key events."""

"""The reports that commands leave behind: pages of HTML, and their Markdown and tables for the terminal."""

"""What two steps share: following a build, promoting, asking the site, proving a change, rolling the schema back."""

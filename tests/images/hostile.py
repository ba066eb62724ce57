"""URLs that strangers send in the hope that a server fetches them: the one list, whoever does the fetching."""

from __future__ import annotations

HOSTS = """
    127.0.0.1 localhost localhost. LOCALHOST foo.localhost 0 0.0.0.0 127.1 2130706433 0x7f000001 0x7f.1 0177.0.0.1
    127.0.0.1. 127.000.000.001 1.1.1.1.1 0x 8.8.8 134744072
    [::1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:8.8.8.8] [::127.0.0.1] [64:ff9b::7f00:1] [64:ff9b:1::1]
    [2002:7f00:1::] [2001::1] [fe80::1%25lo] [fe80::1%lo] [fe80::1] [fec0::1] [fd00::1] [ff02::1] [fd00:ec2::254] [v1.x]
    10.0.0.1 172.16.0.1 172.31.255.255 192.168.0.1 169.254.169.254 100.100.100.200 100.64.0.1 192.0.0.192 198.18.0.1
    240.0.0.1 255.255.255.255 224.0.0.1 168.63.129.16 192.88.99.1
    １２７.０.０.１ ①②⑦.0.0.1 127。0。0。1 127%2e0%2e0%2e1 loc%61lhost user@8.8.8.8 user:pw@8.8.8.8 8.8.8.8\\@127.0.0.1
    -a.example a..example a_%00.example ⓛocalhost
"""

#: Other schemes, and what is no URL in the eyes of every parser.
URLS = [
    "file:///etc/passwd",
    "ftp://example.com/",
    "gopher://example.com/",
    "dict://example.com/",
    "jar:http://example.com/!/",
    "blob:http://example.com/",
    "javascript:alert(1)",
    "unix:/run/docker.sock",
    "http:///cat.png",
    "//example.com/cat.png",
    "example.com/cat.png",
    "",
    "http:example.com",
    "http://",
    "http://exa mple.com/",
    "http://example.com/a\tb",
    "http://example.com/\r\nHost: x",
    " http://example.com/",
    "http://example.com\\@127.0.0.1/",
    "http://example.com:99999999/",
    "http://example.com:x/",
    "http://example.com:0/",
    "http://[::1/",
    "http://" + "a" * 300 + ".com/",
    "http://example.com/" + "a" * 70000,
    "http://exam\u0000ple.com/",
]


def every_url() -> list[str]:
    """All of them: every host under both schemes, and the malformed ones."""
    return [f"{scheme}://{host}/cat.png" for host in HOSTS.split() for scheme in ("http", "https")] + URLS


def system_like(name: str, port: int) -> list[str]:
    """Answers as the system's resolver would; for odd spellings it would even answer something public."""
    known = {"localhost": ["127.0.0.1", "::1"], "foo.localhost": ["127.0.0.1"]}
    literal = ":" in name or name.replace(".", "").isdigit()
    return [name] if literal else known.get(name.lower(), ["8.8.8.8"])


#: Where a server that was allowed sends a client that must not follow.
REDIRECTS = [
    "http://169.254.169.254/latest/meta-data",
    "//169.254.169.254/",
    "http://[fd00:ec2::254]/",
    "http://0x7f.1/",
    "http://user@127.0.0.1/",
    "file:///etc/passwd",
    "ftp://127.0.0.1/",
    "http:\\\\127.0.0.1/",
]

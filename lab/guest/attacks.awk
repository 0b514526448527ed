# SPDX-License-Identifier: GPL-2.0-only
#
# Make a table of what attacks came to, from lines
#
#	# attack: GUEST: won|lost|ERROR: TITLE: CPU N: TEXT

function line(title, unpinned, pinned) {
	printf "%-37s  %-45s  %s\n", title, unpinned, pinned
}

BEGIN { FS = ": " }

$1 == "# attack" {
	if (!($4 in titles))
		title[++n] = $4
	titles[$4]
	if (!(($4, $2) in text))
		text[$4, $2] = $6
	else if (text[$4, $2] != $6)
		text[$4, $2] = text[$4, $2] " | " $5 ": " $6
}

END {
	if (n) {
		line("attack", "guest with no-kvmcrpin", "guest that pins")
		line("-------------------------------------", "---------------------------------------------", "---------------")
	}
	for (i = 1; i <= n; i++)
		line(title[i], text[title[i], "unpinned"], text[title[i], "pinned"])
}

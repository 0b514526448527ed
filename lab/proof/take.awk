# SPDX-License-Identifier: GPL-2.0-only
#
# Take one thing out of a C file in the kernel's style:
#
#	awk -v name=NAME -v only=REGEX -f take.awk FILE
#
# NAME is a macro or a function. With REGEX, only those statements of the function are
# taken that it matches, e.g. of a long one those that deal with CR0 and CR4. A line that
# starts like "#if" is no statement and stays. It fails if there is nothing to take.

function indent(line, n) { n = match(line, /[^\t]/); return n ? n - 1 : length(line) }

# without comments, or a semicolon in one would end a statement
{
	line = $0
	gsub(/\/\*([^*]|\*[^\/])*\*\//, "", line)
	if (comment && sub(/^.*\*\//, "", line))
		comment = 0
	if (comment)
		next
	if (sub(/\/\*.*/, "", line))
		comment = 1
	sub(/[ \t]+$/, "", line)
}
!line { next }

!on && line ~ "^#define[ \t]+" name "([ \t(]|$)" { on = macro = 1 }
macro {
	print line
	if (line !~ /\\$/)
		exit
	next
}

# The signature may take several lines; a declaration ends in a semicolon.
!on && line ~ "^[a-z].*[ *]" name "\\(" { head = ""; on = 1 }
on == 1 {
	head = head line "\n"
	if (line ~ /;$/)
		on = 0
	if (line ~ /^{/) {
		on = 2
		printf "%s", head
	}
	next
}
on == 2 && line ~ /^}/ {
	if (only && head !~ /(^|[ \t])void [^*]*\(/)
		print "\treturn 0;"
	print line
	exit
}
on == 2 && !only { taken = 1; print line; next }
on == 2 && line ~ /^#/ { print line; next }
on == 2 {
	statement = statement line "\n"
	text = line
	depth += gsub(/[({]/, "", text)
	depth -= gsub(/[)}]/, "", text)
	if (depth || line !~ /[;}]$/)
		next
	if (statement ~ only) {
		printf "%s", statement
		taken = 1
	}
	statement = ""
}

END {
	if (!macro && !taken)
		exit 1
}

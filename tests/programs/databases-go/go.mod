module databases

go 1.24

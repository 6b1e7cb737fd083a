"""How the benchmarks print what they measured."""


def milliseconds(seconds):
    return f'{seconds * 1000:.2f}'


def table(header, rows):
    """Prints rows of words: the first column to the left, the others to the right."""
    columns = list(zip(header, *rows))
    widths = [max(map(len, column)) for column in columns]
    for row in [header, *rows]:
        first, *rest = zip(row, widths)
        print(first[0].ljust(first[1]), *(word.rjust(width) for word, width in rest), sep='  ')
    print()


def promises(rows):
    """Prints what was promised beside what was measured. A row is (words, measured, limit, is_least).

    The limit is one that the number must not pass, or with `is_least` one that it must reach.
    """
    words = []
    for what, measured, limit, is_least in rows:
        is_kept = measured >= limit if is_least else measured <= limit
        sign = '>=' if is_least else '<='
        words.append((what, f'{measured:.3g}', f'{sign} {limit:g}', 'kept' if is_kept else 'BROKEN'))
    if words:
        table(('promise', 'measured', 'limit', ''), words)

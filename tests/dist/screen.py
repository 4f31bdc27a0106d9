"""Runs a command on a terminal of so many columns and prints what a person sees on it: a small
terminal with what the programs use (\\r, \\n, erase, up), which breaks and joins lines as tmux does
when its width changes.

    screen.py COLUMNS [--narrow=COLUMNS] [--interrupt=PATTERN] [--twice=SECONDS] COMMAND...

--narrow: the terminal becomes so narrow once the pattern "[#" was drawn; --interrupt: Ctrl-C once
PATTERN was drawn (--twice: and once more so much later; what was printed between them and not shown yet is lost, as
terminals do it). The last line says where the cursor is and how
the command ended: "@ ROW COLUMN CODE".
"""
import fcntl, os, pty, re, struct, sys, termios, time


class Screen:
    def __init__(self, columns):
        self.columns, self.lines, self.row, self.column = columns, [""], 0, 0
        self.joined = set()  # rows that go on from the one above, for want of room

    def put(self, letter):
        if self.column == self.columns:
            self.row, self.column = self.row + 1, 0
            self.down()
            self.joined.add(self.row)
        line = self.lines[self.row].ljust(self.column)
        self.lines[self.row] = line[:self.column] + letter + line[self.column + 1:]
        self.column += 1

    def down(self):
        while len(self.lines) <= self.row:
            self.lines.append("")

    def erase(self):
        self.lines[self.row] = self.lines[self.row][:self.column]
        del self.lines[self.row + 1:]
        self.joined = {r for r in self.joined if r <= self.row}

    def feed(self, text):
        """What is not a whole escape sequence stays for the next time."""
        at = 0
        while at < len(text):
            letter = text[at]
            if letter == "\033":
                found = re.match(r"\033\[(\d*)([A-Za-z])", text[at:])
                if not found:
                    if len(text) - at < 8:
                        break
                    raise SystemExit("an escape sequence of another kind: %r" % text[at:at + 12])
                at += found.end()
                if found[2] == "A":
                    self.row = max(0, self.row - int(found[1] or 1))
                elif found[2] in "JK":
                    self.erase()
                else:
                    raise SystemExit("an escape sequence of another kind: %r" % found[0])
                continue
            at += 1
            if letter == "\r":
                self.column = 0
            elif letter == "\n":
                self.row, self.column = self.row + 1, 0
                self.down()
            elif letter >= " ":
                self.put(letter)
            elif letter not in "\a\b":
                raise SystemExit("a control character: %r" % letter)
        return text[at:]

    def narrow(self, columns):
        """Lines longer than that are broken; the cursor stays behind the letter it was behind."""
        old, row, column = self.lines, self.row, self.column
        self.lines, self.joined, self.columns = [], set(), columns
        for number, line in enumerate(old):
            if number == row:
                self.row = len(self.lines) + column // columns
                self.column = column % columns
            pieces = [line[i:i + columns] for i in range(0, len(line), columns)] or [""]
            self.lines += pieces
        self.down()


def options(words):
    given = {"narrow": None, "interrupt": None, "twice": None}
    while words and words[0].startswith("--"):
        name, _, value = words.pop(0)[2:].partition("=")
        given[name] = value or True
    return given, words


def main():
    columns = int(sys.argv[1])
    given, command = options(sys.argv[2:])
    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = "xterm"
        while os.get_terminal_size(2).columns != columns:
            pass  # until the parent has set it
        os.execvp(command[0], command)
    size = lambda n: fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 500, n, 0, 0))
    size(columns)
    screen, rest, seen = Screen(columns), "", ""
    while True:
        try:
            got = os.read(terminal, 4096).decode()
        except OSError:
            break
        if not got:
            break
        rest = screen.feed(rest + got)
        seen += got
        if given["narrow"] and "[#" in seen:
            size(int(given["narrow"]))
            screen.narrow(int(given["narrow"]))
            given["narrow"] = None
        if given["interrupt"] and given["interrupt"] in seen:
            os.write(terminal, b"\003")
            if given["twice"]:
                time.sleep(float(given["twice"]))
                os.write(terminal, b"\003")
            given["interrupt"] = None
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print("\n".join(screen.lines).rstrip("\n"))
    print("@", screen.row, screen.column, status)


main()

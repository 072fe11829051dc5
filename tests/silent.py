"""A Progress for tests that says nothing and remembers everything."""


class Silent:
    """A Progress that remembers what it was told."""

    def __init__(self):
        self.told = []

    def start(self, job, epoch, epochs, images):
        self.told.append(("start", epoch))

    def note(self, job, note):
        self.told.append(("note", note))

    def tick(self, job, images):
        pass

    def epoch(self, job, record, epochs):
        self.told.append(("epoch", record.epoch))

    def finish(self, job, note):
        self.told.append(("finish", note))

"""Fit HS3 documents with RooFit and set asymptotic CLs limits; run by a Python that has ROOT.

Usage: roofit_window.py LEVEL FILE...; prints one JSON list with the yield, the rise of
−2 ln L from it to zero, and the limit. With ``serve LEVEL FILE`` it does instead what lines of standard
input ask for, ``fit`` or ``limit``, and answers each with a number when done.
"""

import json
import math
import sys

import ROOT

ROOT.gErrorIgnoreLevel = ROOT.kFatal
ROOT.RooMsgService.instance().setGlobalKillBelow(ROOT.RooFit.FATAL)


class Window:
    """A likelihood with its data, global observables and parameters."""

    def __init__(self, path):
        self.ws = ROOT.RooWorkspace("w")
        assert ROOT.RooJSONFactoryWSTool(self.ws).importJSON(path)
        self.pdf, self.x = self.ws.pdf("window"), self.ws.var("observable")
        self.s = self.ws.var("signal_yield")
        names = [v.GetName() for v in self.ws.allVars()]
        self.globals = [n for n in names if n.startswith("nom_")]
        for name in self.globals:
            self.ws.var(name).setConstant(True)
        self.floating = [
            n for n in names if n not in {*self.globals, "observable"} and not self.ws.var(n).isConstant()
        ]
        self.counts = [self.bin(self.ws.data("observed"), i) for i in range(self.x.numBins())]
        self.start = {n: self.ws.var(n).getVal() for n in names}
        self.observe(self.counts, {n: self.start[n] for n in self.globals})

    @staticmethod
    def bin(data, i):
        data.get(i)
        return data.weight(i) if hasattr(data, "weight") else data.weight()

    def observe(self, counts, observed):
        """Take other counts and global observables."""
        histogram = ROOT.TH1D("h", "h", len(counts), 0.0, float(len(counts)))
        histogram.SetDirectory(ROOT.nullptr)
        for i, n in enumerate(counts):
            histogram.SetBinContent(i + 1, n)
        self.data = ROOT.RooDataHist("d", "d", ROOT.RooArgList(self.x), histogram)
        for name, value in observed.items():
            self.ws.var(name).setVal(value)
        observables = (
            ROOT.RooArgSet(*[self.ws.var(n) for n in self.globals]) if self.globals else ROOT.RooArgSet()
        )
        self.nll = self.pdf.createNLL(self.data, ROOT.RooFit.GlobalObservables(observables))

    def minimise(self, s=None):
        """Return the minimal NLL, with the yield free or fixed."""
        for name in self.floating:
            self.ws.var(name).setVal(self.start[name])
        if s is not None:
            self.s.setVal(s)
        self.s.setConstant(s is not None)
        minimiser = ROOT.RooMinimizer(self.nll)
        minimiser.setPrintLevel(-1)
        minimiser.setStrategy(2)
        minimiser.setEps(1e-4)
        minimiser.minimize("Minuit2", "migrad")
        minimiser.hesse()
        self.s.setConstant(False)
        return self.nll.getVal()

    def expectation(self):
        """Return the expected counts at the present parameters."""
        observables = ROOT.RooArgSet(self.x)
        total = self.pdf.expectedEvents(observables)
        found = []
        for i in range(self.x.numBins()):
            self.x.setVal(i + 0.5)
            found.append(total * self.pdf.getVal(observables))
        return found


def q_tilde(window, s, best, lowest, at_zero):
    """Return q̃_s (arXiv:1007.1727, eq. 16)."""
    if best >= s:
        return 0.0
    return max(0.0, 2.0 * (window.minimise(s) - (at_zero if best < 0.0 else lowest)))


def tail(z):
    return 0.5 * math.erfc(z / math.sqrt(2.0))


def cls(q, a):
    """Return asymptotic CLs (arXiv:1007.1727, eqs. 59, 65, 66)."""
    if q <= a * a:
        return tail(math.sqrt(q)) / tail(math.sqrt(q) - a)
    return tail((q + a * a) / (2.0 * a)) / tail((q - a * a) / (2.0 * a))


def limit(path, level):
    return limit_of(Window(path), Window(path), level)


def limit_of(window, twin, level):
    lowest = window.minimise()
    best, error = window.s.getVal(), window.s.getError()
    at_zero = window.minimise(0.0)
    shifted = {n: window.ws.var(n.removeprefix("nom_")).getVal() for n in window.globals}
    twin.observe(window.expectation(), shifted)
    twin.start |= {n: window.ws.var(n).getVal() for n in window.floating}
    bottom = twin.minimise(0.0)

    def above(s):
        a = math.sqrt(max(0.0, 2.0 * (twin.minimise(s) - bottom)))
        return cls(q_tilde(window, s, best, lowest, at_zero), a) - (1.0 - level)

    low, high = max(best, 0.0) + 0.1 * error, max(best, 0.0) + 4.0 * error
    f_low, f_high = above(low), above(high)
    for _ in range(40):  # the Illinois variant of false position
        s = high - f_high * (high - low) / (f_high - f_low)
        f = above(s)
        if f * f_high < 0.0:
            low, f_low = high, f_high
        else:
            f_low *= 0.5
        high, f_high = s, f
        if abs(f) < 1e-7:
            break
    return {"yield": best, "rise": 2.0 * (at_zero - lowest), "limit": high}


def serve(level, path):
    window, twin = Window(path), Window(path)
    print("READY", flush=True)
    for line in sys.stdin:
        if line.strip() == "fit":
            window.observe(window.counts, {n: window.start[n] for n in window.globals})
            window.minimise()
            print(window.s.getVal(), flush=True)
        else:
            window.observe(window.counts, {n: window.start[n] for n in window.globals})
            print(limit_of(window, twin, level)["limit"], flush=True)


if __name__ == "__main__" and sys.argv[1] == "serve":
    serve(float(sys.argv[2]), sys.argv[3])
elif __name__ == "__main__":
    level = float(sys.argv[1])
    print("RESULT", json.dumps([limit(path, level) for path in sys.argv[2:]]))

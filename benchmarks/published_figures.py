"""Figures that others have published, or that were measured on another machine: quoted, not compared with ours."""

QUOTED = (  # who, workload, figure, conditions and source
    (
        "NEST 2.14",
        "microcircuit, full scale",
        "just above real time on one node, 0.6 s per second on two",
        "2 x 64 cores AMD EPYC Rome a node; Kurth et al. 2021",
    ),
    (
        "NEST",
        "microcircuit, full scale",
        "about 3 s per second",
        "cluster of many nodes; van Albada et al. 2018, 10.3389/fnins.2018.00291",
    ),
    (
        "GeNN",
        "microcircuit, full scale",
        "about 2 s per second",
        "one Tesla V100; Knight and Nowotny 2018, 10.3389/fnins.2018.00941",
    ),
    (
        "NEST GPU",
        "microcircuit, full scale",
        "0.4 s per second",
        "one RTX 4090; Villamar et al. 2025",
    ),
    (
        "GeNN 5.4, CPU",
        "Brunel, 12 500 neurons",
        "20-27 s",
        "one thread of a virtual Xeon, AVX-512; our measurement",
    ),
    ("GeNN 5.4, CPU", "CUBA, 4000 neurons", "0.49 s", "the same"),
    ("GeNN 5.4, CPU", "microcircuit, scale 0.1", "3.4-5.8 s", "the same"),
    ("brainpy 2.8.2, jax on CPU", "Brunel, 12 500 neurons", "24 s", "two threads of the same machine, our measurement"),
    ("arbor 0.12.2", "Brunel, 12 500 neurons", "99 s", "the same"),
    ("spyx 1.0, jax on CPU", "inference, batch 1 / 128", "0.23 / 2.8 ms per step", "the same; other reset"),
    ("sinabs 3.1.3", "inference, batch 1 / 128", "0.14 / 4.0 ms per step", "the same"),
    ("spikingjelly 2.0", "inference, batch 1 / 128", "0.24 / 4.1 ms per step", "the same"),
)

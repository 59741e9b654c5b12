import type { Bound } from './row.ts'

/** What the service is held to, in one place. Ratios are against a peer measured in the same run. */
export const TARGETS = {
  fanOutTen: { readmeLoop: { most: 0.18 }, nchan: { most: 0.25 }, net: { most: 1.3 } },
  fanOutOne: { readmeLoop: { most: 0.82 }, net: { most: 1.25 } },
  filters: { oneFilter: { most: 1.5 } },
  compressed: { cpu: { most: 1.3 }, bytesTogether: { most: 0.25 }, bytesAlone: { most: 0.5 } },
  latency: { lastMs: { most: 150 }, restMs: { most: 50 } },
  memory: { bareWs: { most: 1.1 }, bytes: { most: 8192 }, growth: { most: 1.05 } },
  cache: { bareRoute: { least: 0.75 }, nginx: { least: 0.55 }, notModified: { least: 1.3 } },
  misses: { calls: { equal: 1 }, errors: { equal: 0 } },
  upstream: { ratio: { most: 1.1 } },
  recent: { readers: { most: 1.1 }, quiet: { most: 6 }, lists: { equal: 1 }, answer: { least: 0.8 } },
  aggregates: { addMicros: { most: 5 }, bytes: { most: 80 }, dayMs: { most: 2 }, largeMs: { most: 20 } },
  console: {
    paintMs: { most: 300 },
    rowMs: { most: 1000 },
    smooth: { least: 0.99 },
    heapMiB: { most: 150 },
    elements: { most: 3000 }
  },
  export: { micros: { most: 80 }, growthMib: { most: 64 } },
  start: { empty: { most: 4 } }
} as const satisfies Record<string, Record<string, Bound>>

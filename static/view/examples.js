/** Inputs to begin with: what a program that drives a small project would ask. */

/** @typedef {{title: string, recipe: string, input: Record<string, any>}} Example */

/** @type {Example[]} */
export const EXAMPLES = [
  {
    title: "API",
    recipe: "generate",
    input: {
      prompt:
        "Write three acceptance criteria for GET /products/{id} of a small web shop: what it returns, when it answers 404, how fast it has to be.",
    },
  },
  {
    title: "Web shop: next step",
    recipe: "generate",
    input: {
      template: "next-step",
      params: {
        stage: "requirements gathering",
        tasks: "write user stories, agree on payment, agree on returns",
      },
      prompt:
        "A small web shop for handmade lamps: 40 products, one warehouse, one country.\nDecided: guest checkout, payment by card.\nOpen: how returns work, who may change prices, what happens when a lamp is sold out while it is in a basket.",
    },
  },
  {
    title: "Shop: is it specified?",
    recipe: "evaluate",
    input: {
      stage_name: "requirements gathering",
      criteria: [
        { id: "pages", title: "The pages of the shop are listed", required: true, weight: 2 },
        { id: "payment", title: "It is decided how customers pay", required: true, weight: 1 },
        { id: "returns", title: "It is decided how returns work", required: false, weight: 1 },
      ],
      documents: [
        {
          id: "notes",
          text: "A small web shop for handmade lamps: 40 products, one warehouse, one country.\nPages: start, list, lamp, basket, checkout.\nDecided: guest checkout, payment by card.\nOpen: how returns work.",
        },
      ],
    },
  },
  {
    title: "Price list: break down",
    recipe: "breakdown",
    input: {
      task: "Build a public API for the price list of a small web shop: read prices, change them with a key, keep a history.",
      max_tasks: 6,
    },
  },
  {
    title: "Shop: build or buy?",
    recipe: "reason",
    input: {
      question: "Shall a team of two build its web shop or rent one?",
      context: "40 products, one country, opening in eight weeks.",
      strategy: "critique",
    },
  },
  {
    title: "Data import: summary",
    recipe: "generate",
    input: {
      template: "summarize",
      params: { sentences: "2" },
      prompt:
        "Nightly import of the supplier's price list, 14 March. The file had 18,240 rows; 17,928 were written, 312 were refused. Of these, 280 had no price and 32 a currency that the shop does not know. The import took 6 min 12 s, twice as long as the night before, because the index on the SKU was rebuilt. Two products lost their picture; their files were missing on the supplier's server. The next import runs at 02:00.",
    },
  },
];

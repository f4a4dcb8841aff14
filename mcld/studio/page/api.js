// The studio's HTTP interface. A mistake comes as an Error whose message is the server's one line.

const SILENT = "The studio does not answer. Is `mcld studio` still running?";
const ENDED = "this session has ended";

export class StudioError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function ask(method, path, body, signal) {
  const isForm = body instanceof FormData;
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers: body && !isForm ? { "Content-Type": "application/json" } : {},
      body: isForm ? body : body && JSON.stringify(body),
      signal,
    });
  } catch {
    throw new StudioError(SILENT, 0);
  }
  if (!answer.ok) throw await readMistake(answer);
  return answer.json().catch(() => ({}));
}

async function readMistake(answer) {
  const { error } = await answer.json().catch(() => ({}));
  return new StudioError(error ?? `The studio answered ${answer.status}.`, answer.status);
}

async function askPicture(path) {
  const answer = await fetch(path).catch(() => {
    throw new StudioError(SILENT, 0);
  });
  if (!answer.ok) throw await readMistake(answer);
  return createImageBitmap(await answer.blob());
}

export const getStudio = () => ask("GET", "/api/studio");
export const openSession = () => ask("POST", "/api/sessions");
export const getSession = (session) => ask("GET", `/api/sessions/${session}`);
export const removeSession = (session) => ask("DELETE", `/api/sessions/${session}`);

/** What belongs to one session; `ended` is called when the studio says that there is none any more. */
export function sessionApi(session, ended) {
  const root = `/api/sessions/${session}`;
  const watched = (asking) => async (...given) => {
    try {
      return await asking(...given);
    } catch (error) {
      if (error.status === 404 && error.message === ENDED) ended();
      throw error;
    }
  };
  const call = watched((method, path, ...rest) => ask(method, `${root}/${path}`, ...rest));
  return {
    async upload(file, kind) {
      const form = new FormData();
      form.append("kind", kind);
      form.append("file", file, file.name);
      return (await call("POST", "files", form)).file;
    },
    removeFile: (id) => call("DELETE", `files/${encodeURIComponent(id)}`),
    /** The pixels of a picture of the session. */
    readPicture: watched(askPicture),
    takeExample: async (example) => (await call("POST", "examples", { example })).file,
    readPerson: async (photos) => (await call("POST", "people", { photos })).job,
    poseFigure: (change) => call("POST", "pose", change),
    savePose: async (pose) => (await call("POST", "poses", pose)).file,
    preview: async (source, edits, signal) => (await call("POST", "preview", { source, edits }, signal)).picture,
    startJob: async (request) => (await call("POST", "jobs", request)).job,
    getJob: async (id) => (await call("GET", `jobs/${id}`)).job,
    cancelJob: async (id) => (await call("POST", `jobs/${id}/cancel`)).job,
    removeJob: (id) => call("DELETE", `jobs/${id}`),
  };
}

/* Environment steps a second of mj_step alone: what the physics allows.

   mj_step MODEL.mjb NUM_THREADS FRAME_SKIP

   For every number of seconds read from stdin it steps for that long and prints the answer. Each
   thread has one simulation with random controls, held for FRAME_SKIP steps, and restarts it near
   the model's initial state every RESTART environment steps. */

#include <mujoco/mujoco.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { RESTART = 1000, CHUNK = 20 };
static const double START_NOISE = 0.1;

typedef struct {
  pthread_t thread;
  const mjModel* model;
  mjData* data;
  int frame_skip;
  uint64_t random;
  long age;         // environment steps since the last restart
  double deadline;  // when to stop
  long num_steps;   // environment steps done, the answer
} Simulation;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + 1e-9 * time.tv_nsec;
}

// xorshift64*, in [low, high)
static double uniform(uint64_t* state, double low, double high) {
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return low + (high - low) * ((*state * 2685821657736338717ULL) >> 11) / 9007199254740992.0;
}

static void restart(Simulation* s) {
  mj_resetData(s->model, s->data);
  for (int i = 0; i < s->model->nq; i++)
    s->data->qpos[i] += uniform(&s->random, -START_NOISE, START_NOISE);
}

static void environment_step(Simulation* s) {
  if (s->age++ % RESTART == 0) restart(s);
  for (int i = 0; i < s->model->nu; i++) {
    const mjtNum* range = s->model->actuator_ctrlrange + 2 * i;
    s->data->ctrl[i] = uniform(&s->random, range[0], range[1]);
  }
  for (int i = 0; i < s->frame_skip; i++) mj_step(s->model, s->data);
}

static void* run(void* argument) {
  Simulation* s = argument;
  for (s->num_steps = 0; now() < s->deadline; s->num_steps += CHUNK)
    for (int i = 0; i < CHUNK; i++) environment_step(s);
  return NULL;
}

int main(int argc, char** argv) {
  if (argc != 4) return fprintf(stderr, "mj_step MODEL.mjb NUM_THREADS FRAME_SKIP\n"), 1;
  const mjModel* model = mj_loadModel(argv[1], NULL);
  if (!model) return fprintf(stderr, "cannot load %s\n", argv[1]), 1;
  int num_threads = atoi(argv[2]);
  Simulation* simulations = calloc(num_threads, sizeof(Simulation));
  for (int i = 0; i < num_threads; i++)
    simulations[i] = (Simulation){.model = model, .data = mj_makeData(model),
                                  .frame_skip = atoi(argv[3]), .random = i + 1};
  double seconds;
  while (scanf("%lf", &seconds) == 1) {
    double start = now();
    for (int i = 0; i < num_threads; i++) {
      simulations[i].deadline = start + seconds;
      pthread_create(&simulations[i].thread, NULL, run, &simulations[i]);
    }
    long num_steps = 0;
    for (int i = 0; i < num_threads; i++) {
      pthread_join(simulations[i].thread, NULL);
      num_steps += simulations[i].num_steps;
    }
    printf("%.1f\n", num_steps / (now() - start));
    fflush(stdout);
  }
}

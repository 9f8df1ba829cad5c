/* The CUDA runtime as far as our engine calls it, with the computer's own memory as the GPU's. */
#include <stdlib.h>
#include <string.h>

static char device_name[256] = "Stand-in Orin";
static int compute_minor = 7, live = 0, fail_allocations = 0;
static void (*on_launch)(void) = NULL;

void stand_in_device(const char *name, int minor) {
    strncpy(device_name, name, sizeof device_name - 1);
    compute_minor = minor;
}
void stand_in_fail_allocations(int fail) { fail_allocations = fail; }
void stand_in_on_launch(void (*callback)(void)) { on_launch = callback; }
int stand_in_live(void) { return live; }

const char *cudaGetErrorString(int code) { return code == 2 ? "out of memory" : "unknown"; }
int cudaGetDeviceProperties_v2(void *properties, int device) {
    memcpy(properties, device_name, sizeof device_name);
    return device ? 101 : 0;
}
int cudaDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == 75 ? 8 : attribute == 76 ? compute_minor : -1;
    return device ? 101 : 0;
}
int cudaRuntimeGetVersion(int *version) { *version = 12060; return 0; }
int cudaDriverGetVersion(int *version) { *version = 12060; return 0; }
int cudaMemGetInfo(size_t *free_bytes, size_t *whole) {
    *free_bytes = 2000000000;
    *whole = 8000000000;
    return 0;
}
static int allocate(void **pointer, size_t size) {
    if (fail_allocations) return 2;
    live++;
    *pointer = malloc(size);
    return 0;
}
static int release(void *pointer) { live--; free(pointer); return 0; }
int cudaMalloc(void **pointer, size_t size) { return allocate(pointer, size); }
int cudaMallocHost(void **pointer, size_t size) { return allocate(pointer, size); }
int cudaFree(void *pointer) { return release(pointer); }
int cudaFreeHost(void *pointer) { return release(pointer); }
int cudaStreamCreateWithFlags(void **stream, unsigned flags) {
    return flags == 1 ? allocate(stream, 8) : 1;
}
int cudaStreamDestroy(void *stream) { return release(stream); }
int cudaStreamSynchronize(void *stream) { return stream == NULL; }
int cudaMemcpyAsync(void *to, const void *from, size_t size, int kind, void *stream) {
    if (stream == NULL || (kind != 1 && kind != 2)) return 1;
    memcpy(to, from, size);
    return 0;
}
int cudaStreamBeginCapture(void *stream, int mode) { return stream == NULL || mode != 2; }
int cudaStreamEndCapture(void *stream, void **graph) { (void)stream; return allocate(graph, 8); }
int cudaGraphInstantiateWithFlags(void **executable, void *graph, unsigned long long flags) {
    return graph == NULL || flags ? 1 : allocate(executable, 8);
}
int cudaGraphDestroy(void *graph) { return release(graph); }
int cudaGraphExecDestroy(void *executable) { return release(executable); }
int cudaGraphLaunch(void *executable, void *stream) {
    if (executable == NULL || stream == NULL || on_launch == NULL) return 1;
    on_launch();
    return 0;
}
